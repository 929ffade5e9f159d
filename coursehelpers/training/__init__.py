"What happens beside a training loop: callbacks, runs that go on, memory that ends, processes, plots of losses."
