// The page for many agents: its screens, and what its bar reports.

import { may } from "../base/api.js";
import { runPage } from "../base/shell.js";
import { moment, t } from "../base/text.js";
import { alarmsScreen } from "./alarms.js";
import { camerasScreen } from "./cameras.js";
import { loginsScreen } from "./logins.js";
import { known, listen, start, stop } from "./stream.js";

function health() {
  const header = known.header;
  if (!header) return [""];
  const details = header.problem ?? header.history_problem;
  if (!known.connected) return [t("fleet.health.page"), details];
  if (!header.connected) return [t("fleet.health.broker", { broker: header.broker, since: moment(header.since * 1000) }), details];
  if (header.beyond) return [t("fleet.health.beyond"), details];
  return [header.history_problem ? t("fleet.health.history") : "", details];
}

runPage({
  screens: [["cameras", camerasScreen], ["alarms", alarmsScreen], ["logins", loginsScreen]],
  listed: (name) => name !== "logins" || may("engineer"), label: (name) => t(`fleet.nav.${name}`), health, stream: { start, stop, listen },
});
