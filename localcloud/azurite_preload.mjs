// What Azurite lacks to be part of something: imported by Node before Azurite's own main.
import { subscribe } from "node:diagnostics_channel";

// It prints the port that it was given, 0, and not the one that it got.
subscribe("tracing:net.server.listen:asyncEnd", ({ server }) => {
  console.log(`listening on port ${server.address().port}`);
});

// It would outlive a parent that is killed.
process.stdin.on("end", () => process.exit(0)).resume();
