"What happens beside a training loop: callbacks, checkpoints and runs that go on, memory that ends, several processes, plots of losses."
