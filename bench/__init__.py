"Measurements against other tools: `python -m bench`."
import coursehelpers  # noqa: F401, before torch loads: it tells OpenMP's threads not to spin while they wait, for ours and theirs alike
