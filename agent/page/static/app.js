// The page of one agent: its screens, and what its bar reports.

import { auditScreen } from "./audit/screen.js";
import { alarmsScreen } from "./alarms/list.js";
import { alarmScreen } from "./alarms/one.js";
import { loadCommands, may, offers, session } from "./base/api.js";
import { listen, now, start, stop } from "./base/events.js";
import { runPage } from "./base/shell.js";
import { t } from "./base/text.js";
import { liveScreen } from "./live/screen.js";
import { partsScreen } from "./parts/list.js";
import { setupScreen } from "./setup/screen.js";
import { trainingScreen } from "./training/screen.js";

const SCREENS = [
  ["live", liveScreen],
  ["alarms", alarmsScreen],
  ["alarm", alarmScreen],
  ["parts", partsScreen],
  ["setup", setupScreen],
  ["training", trainingScreen],
  ["audit", auditScreen],
];

// The command that the agent must have for a screen, and whether it is for engineers.
const NEEDED = { parts: ["results/list"], audit: ["audit/list", true], training: ["bundle/take", true] };

function listed(name) {
  const [command, engineers] = NEEDED[name] ?? [];
  return name !== "alarm" && (!command || (offers(command) && (!engineers || may("engineer"))));
}

function health() {
  if (now.gone) return [t("health.gone")];
  if (!now.connected && now.status) return [t("health.offline")];
  const outputs = Object.values(now.status?.outputs ?? {});
  return [outputs.some((output) => !output.connected) ? t("health.broker") : ""];
}

const show = runPage({
  screens: SCREENS, listed, current: (name) => (name === "alarm" ? "alarms" : name), label: (name) => t(`nav.${name}`), health, stream: { start, stop, listen },
});

// A page that was opened before its agent ran learns what it offers once it does.
listen(async (kind) => {
  if (kind !== "status" || session.commands.size) return;
  await loadCommands();
  if (session.commands.size) show();
});
