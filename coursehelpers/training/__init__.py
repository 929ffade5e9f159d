"What happens beside a training loop: callbacks, checkpoints, memory that ends, plots of losses, mixed pictures."
