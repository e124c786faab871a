"""One thread for every test: their tensors are small, and threads that wait for a busy core cost more than they save."""

import torch

torch.set_num_threads(1)
