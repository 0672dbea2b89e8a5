// Reads payloads, one a line in base64, with the decoder of Cirrus Link, and prints each as a line of JSON.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.env.NODE_MODULES_OF}/`);
const { get } = require("sparkplug-payload");
const payloads = get("spBv1.0");

const plain = (_, value) =>
  value !== null && typeof value === "object" && "low" in value ? Number(value.toString()) : typeof value === "bigint" ? Number(value) : value;

for await (const line of createInterface({ input: process.stdin })) {
  const payload = payloads.decodePayload(Buffer.from(line, "base64"));
  console.log(JSON.stringify(payload, plain));
}
