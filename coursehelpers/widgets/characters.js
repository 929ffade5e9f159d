// What pictures of text share: characters that can be seen, and a button that goes on until it is pressed again.

const seen = c => ({' ': '·', '\n': '↵', '\ufffd': '?'})[c] ?? c
const spoken = c => ({' ': 'space', '\n': 'new line', '\ufffd': 'unknown'})[c] ?? `“${c}”`

// A button that calls step() again and again, ms apart, until step() gives false or it is pressed again.
function player(name, ms, step, done) {
  let timer = 0
  const stop = () => {
    clearInterval(timer)
    timer = 0
    write(node, name)
    done()
  }
  const node = button(name, () => {
    if (timer) return stop()
    if (calm()) {
      while (step());
      return done()
    }
    write(node, 'stop')
    timer = setInterval(() => step() || stop(), ms)
  })
  return {node, halt: () => timer && stop()}
}
