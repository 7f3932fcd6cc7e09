"""Who slims which library: this process and a second one beside it."""
