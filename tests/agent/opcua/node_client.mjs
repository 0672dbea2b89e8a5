// A client that is none of asyncua's: node-opcua. Starts a job for a part, waits for its event, and prints what it got.
//
//   node node_client.mjs URL CERTIFICATE KEY APPLICATION_URI PERSON PASSWORD CAMERA PART   (module path in NODE_OPCUA)
import { createRequire } from "node:module";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(process.env.NODE_OPCUA + "/");
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const [url, certificateFile, privateKeyFile, applicationUri, userName, password, camera, part] = process.argv.slice(2);

const client = opcua.OPCUAClient.create({
  applicationName: "peer",
  applicationUri,
  certificateFile,
  privateKeyFile,
  securityMode: opcua.MessageSecurityMode.SignAndEncrypt,
  securityPolicy: opcua.SecurityPolicy.Basic256Sha256,
  endpointMustExist: false,
  connectionStrategy: { maxRetry: 1 },
  clientCertificateManager: new OPCUACertificateManager({
    automaticallyAcceptUnknownCertificate: true,
    rootFolder: mkdtempSync(join(tmpdir(), "node-opcua-")),
  }),
});

const URI = "http://opcfoundation.org/UA/MachineVision";
await client.clientCertificateManager.initialize();
await client.connect(url);
const session = await client.createSession({ type: opcua.UserTokenType.UserName, userName, password });
const namespaces = await session.readNamespaceArray();
const vision = namespaces.indexOf(URI);
const own = namespaces.findIndex((uri) => uri.endsWith(":cameras"));
const id = (path) => opcua.resolveNodeId(`ns=${own};s=${[camera, ...path].join(".")}`);

const automatic = ["VisionStateMachine", "AutomaticModeStateMachine"];
const read = async (nodeId) => session.read({ nodeId, attributeId: opcua.AttributeIds.Value });
const state = (await read(id([...automatic, "CurrentState"]))).value.value.text;

const subscription = await session.createSubscription2({
  requestedPublishingInterval: 50,
  requestedLifetimeCount: 1000,
  requestedMaxKeepAliveCount: 10,
  publishingEnabled: true,
});
const fields = ["EventType", "SourceName", "Message"];
const own_fields = ["PartId", "JobId", "ResultId", "ResultState", "ResultContent", "InternalRecipeId"];
const filter = opcua.constructEventFilter(
  [...fields, ...own_fields.map((name) => `${vision}:${name}`)],
  opcua.ofType(opcua.resolveNodeId(`ns=${vision};i=1024`)),
);
const item = await subscription.monitor(
  { nodeId: id([]), attributeId: opcua.AttributeIds.EventNotifier },
  { samplingInterval: 0, discardOldest: true, queueSize: 100, filter },
  opcua.TimestampsToReturn.Both,
);
const event = new Promise((resolve, reject) => {
  item.on("changed", (values) => resolve(values));
  setTimeout(() => reject(new Error("no event")), 20000);
});

const structure = async (number, values) =>
  session.constructExtensionObject(opcua.resolveNodeId(`ns=${vision};i=${number}`), values);
const object = (value) => new opcua.Variant({ dataType: opcua.DataType.ExtensionObject, value });
const call = await session.call({
  objectId: id(automatic),
  methodId: id([...automatic, "StartSingleJob"]),
  inputArguments: [
    object(await structure(3015, { id: "m1" })),
    object(await structure(3004, { id: part })),
    object(await structure(3002, { id: "" })),
    object(await structure(3003, { id: "" })),
    new opcua.Variant({ dataType: opcua.DataType.Variant, arrayType: opcua.VariantArrayType.Array, value: [] }),
  ],
});
const [, source, message, partId, jobId, resultId, resultState, content, recipe] = (await event).map((each) => each.value);
const result = await session.call({
  objectId: id(["ResultManagement"]),
  methodId: id(["ResultManagement", "GetResultById"]),
  inputArguments: [object(resultId), new opcua.Variant({ dataType: opcua.DataType.Int32, value: 0 })],
});
const latest = (await read(id(["ResultManagement", "Results", "Latest"]))).value.value;
console.log(
  JSON.stringify({
    state,
    started: { status: call.statusCode.name, job: call.outputArguments[0].value.id, error: call.outputArguments[1].value },
    event: {
      source,
      message: message.text,
      part: partId.id,
      job: jobId.id,
      state: resultState,
      verdict: content[0].value ?? content[0],
      recipe: recipe.id,
    },
    result: { error: result.outputArguments[2].value, part: result.outputArguments[1].value.partId.id },
    latest: latest.resultId.id === resultId.id,
  }),
);
await subscription.terminate();
await session.close();
await client.disconnect();
process.exit(0);
