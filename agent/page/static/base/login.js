// Name and password.

import { logIn, session } from "./api.js";
import { element, replace } from "./dom.js";
import { t } from "./text.js";

export function loginScreen(main, onDone) {
  const name = element("input", { id: "name", name: "username", autocomplete: "username", required: true, maxlength: 40, autocapitalize: "none", spellcheck: "false" });
  const password = element("input", { id: "password", type: "password", name: "password", autocomplete: "current-password", required: true, maxlength: 256 });
  const fault = element("p", { class: "fault", role: "alert" });
  const button = element("button", { class: "main", type: "submit" }, t("login.button"));
  const form = element("form", { class: "login card", onsubmit: submit },
    element("h1", {}, t("login.title")),
    element("p", { class: "quiet" }, session.site),
    element("label", { for: "name" }, t("login.name")), name,
    element("label", { for: "password" }, t("login.password")), password,
    fault, button,
    session.accounts ? null : element("p", { class: "hint" }, t("login.none"), " ", element("code", {}, session.add_user)),
  );
  replace(main, form);
  name.focus();

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    fault.textContent = "";
    try {
      await logIn(name.value.trim(), password.value);
      onDone();
    } catch (error) {
      const wait = error.document?.wait_seconds;
      fault.textContent = wait ? t("login.wait", { seconds: wait }) : error.status === 401 ? t("login.wrong") : error.status === 0 ? t("health.offline") : error.message;
      password.value = "";
      password.focus();
    } finally {
      button.disabled = false;
    }
  }
}
