// Who has logged in to this page, for engineers.

import { get } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { moment, t } from "../base/text.js";

export function loginsScreen(main) {
  const body = element("tbody");
  const columns = ["time", "event", "person", "address"];
  replace(main, element("h1", {}, t("fleet.nav.logins")), element("table", { class: "alarms" },
    element("thead", {}, element("tr", {}, columns.map((name) => element("th", { scope: "col" }, t(`fleet.login.${name}`))))), body));
  get("/api/logins").then(({ logins }) => {
    replace(body, logins.map((entry) => element("tr", {}, [
      moment(entry.received_at * 1000), t(`fleet.login.${entry.event.replace(" ", "_")}`), entry.person, entry.address,
    ].map((text, column) => element("td", { data: { name: t(`fleet.login.${columns[column]}`) } }, text)))));
  }).catch((error) => notice(error.message, "error"));
}
