"""From a checkpoint on disk to a 4-bit model with adapters. Knows nothing of Lightning."""
