// JavaScript's clients of Service Bus against a bus with the queues q1 and q2 (MaxDeliveryCount 3, 2)
// and the topic t1. One line of JSON for each scenario; the exit code is 1 when one failed.
import { setTimeout as sleep } from "node:timers/promises";
import { ServiceBusClient } from "@azure/service-bus";
import rhea from "rhea";

const connection = process.argv[2];
const address = new URL(connection.match(/Endpoint=sb(:\/\/[^;]+)/)[1].replace("://", "amqp://"));
let failed = 0;

async function attempt(scenario, body) {
  let ok = false, seen;
  try {
    seen = await Promise.race([body(), sleep(30000).then(() => { throw new Error("no end"); })]);
    ok = true;
  } catch (error) {
    seen = `${error.code ?? ""} ${error.message}`;
  }
  failed += !ok;
  console.log(JSON.stringify({ scenario, ok, seen }));
}

function expect(condition, what) {
  if (!condition) throw new Error(`NOT AS THE SERVICE: ${what}`);
}

const client = new ServiceBusClient(connection, { retryOptions: { maxRetries: 1 } });

async function one(receiver) {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 5000 });
  expect(message, "a message within 5 s");
  return message;
}

async function queue(scenario, body, name = "q1") {
  await attempt(scenario, async () => {
    const sender = client.createSender(name), receiver = client.createReceiver(name);
    try {
      return await body(sender, receiver);
    } finally {
      await Promise.all([sender.close(), receiver.close()]);
    }
  });
}

await queue("send, receive, complete", async (sender, receiver) => {
  await sender.sendMessages({ body: { a: 1 }, messageId: "m", applicationProperties: { n: 7 } });
  const message = await one(receiver);
  await receiver.completeMessage(message);
  expect(message.body.a === 1 && message.messageId === "m", JSON.stringify(message.body));
});
await queue("a message without ID gets one", async (sender, receiver) => {
  await sender.sendMessages({ body: "x" });
  const message = await one(receiver);
  await receiver.completeMessage(message);
  expect(message.messageId, "no ID");
});
await queue("abandon counts and keeps properties", async (sender, receiver) => {
  await sender.sendMessages({ body: "x" });
  await receiver.abandonMessage(await one(receiver), { tries: 1 });
  const again = await one(receiver);
  await receiver.completeMessage(again);
  expect(again.deliveryCount === 1, `count ${again.deliveryCount}`);
  expect(again.applicationProperties.tries === 1, JSON.stringify(again.applicationProperties));
});
await queue("a poison message is dead-lettered", async (sender, receiver) => {
  await sender.sendMessages({ body: "x" });
  for (let n = 0; n < 2; n++) await receiver.abandonMessage(await one(receiver));
  const dead = client.createReceiver("q2", { subQueueType: "deadLetter" });
  const letter = await one(dead);
  await dead.completeMessage(letter);
  await dead.close();
  expect(letter.deadLetterReason === "MaxDeliveryCountExceeded", letter.deadLetterReason);
}, "q2");
await queue("dead-letter with reason and properties", async (sender, receiver) => {
  await sender.sendMessages({ body: "x" });
  const options = { deadLetterReason: "Bad", deadLetterErrorDescription: "why", ticket: "T" };
  await receiver.deadLetterMessage(await one(receiver), options);
  const dead = client.createReceiver("q1", { subQueueType: "deadLetter" });
  const letter = await one(dead);
  await dead.completeMessage(letter);
  await dead.close();
  expect(letter.deadLetterReason === "Bad", letter.deadLetterReason);
  expect(letter.applicationProperties.ticket === "T", JSON.stringify(letter.applicationProperties));
});
await queue("defer, receive by number, complete", async (sender, receiver) => {
  await sender.sendMessages({ body: "x" });
  const message = await one(receiver);
  await receiver.deferMessage(message, { later: true });
  const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber);
  await receiver.completeMessage(deferred);
  expect(deferred.applicationProperties.later === true, "properties are gone");
});
await queue("schedule, cancel, peek", async (sender, receiver) => {
  const later = new Date(Date.now() + 60000);
  const [number] = await sender.scheduleMessages({ body: "late" }, later);
  const [peeked] = await receiver.peekMessages(1);
  await sender.cancelScheduledMessages(number);
  expect(peeked?.body === "late", "not peeked");
  expect((await receiver.peekMessages(1)).length === 0, "not cancelled");
});
await queue("a batch of 100, received in order", async (sender, receiver) => {
  const batch = await sender.createMessageBatch();
  for (let n = 0; n < 100; n++) batch.tryAddMessage({ body: n });
  await sender.sendMessages(batch);
  const got = [];
  while (got.length < 100) {
    for (const message of await receiver.receiveMessages(100, { maxWaitTimeInMs: 5000 })) {
      got.push(message.body);
      await receiver.completeMessage(message);
    }
  }
  expect(got.every((body, n) => body === n), got.join());
});
await attempt("rules are listed, added and removed", async () => {
  const rules = client.createRuleManager("t1", "sql");
  await rules.createRule("extra", { subject: "extra" });
  const names = [];
  for await (const rule of rules.listRules()) names.push(rule.name);
  await rules.deleteRule("extra");
  expect(names.join() === "r,extra", names.join());
});
await attempt("a session on a plain queue is refused", async () => {
  const session = await client.acceptSession("q1", "s").catch((error) => error);
  expect(session instanceof Error, "accepted");
});
await attempt("no such queue is said", async () => {
  const sender = client.createSender("nowhere");
  const error = await sender.sendMessages({ body: "x" }).catch((each) => each);
  expect(error.code === "MessagingEntityNotFound", error.code);
});
await client.close();

function raw(options) {
  return rhea.create_container().connect({
    host: address.hostname, port: Number(address.port), reconnect: false, ...options,
  });
}
for (const [name, options] of [
  ["ANONYMOUS", { username: "anonymous" }],
  ["PLAIN", { username: "RootManageSharedAccessKey", password: "SAS_KEY_VALUE" }],
  ["no SASL", {}],
]) {
  await attempt(`rhea connects by ${name}`, () => new Promise((resolve, reject) => {
    const opened = raw(options);
    opened.on("connection_open", () => { opened.close(); resolve(); });
    opened.on("disconnected", (context) => reject(context.error ?? new Error("disconnected")));
    opened.on("connection_error", (context) => reject(context.connection.error));
  }));
}
process.exit(failed ? 1 : 0);
