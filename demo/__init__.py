"""The app on the local cloud: `make run` assesses a fleet, `make up` leaves it running."""
