"""Azure on this machine: Service Bus, ARM, managed identity and a Functions host."""
