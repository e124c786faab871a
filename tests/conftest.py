"""One thread for every test: their tensors are small, and threads that wait for a busy core cost time."""

import torch

torch.set_num_threads(1)
