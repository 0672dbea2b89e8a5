// Which product a camera inspects, and another one for the next parts; only for cameras that have products.

import { get, may, post } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { t } from "../base/text.js";

export function productChoice(camera) {
  const path = `/api/cameras/${encodeURIComponent(camera)}/product`;
  const box = element("div", { class: "actions row product", hidden: true });
  let shown = "";

  // The list is asked for when the product changes, not with every status.
  async function draw(state) {
    const key = `${state.product} ${state.phase === "no_product"}`;
    if (key === shown || !may("operate") || (!state.product && state.phase !== "no_product")) return;
    shown = key;
    const found = await get(path).catch(() => null);
    if (!found?.products.length) return;
    const choice = element("select", { "aria-label": t("fact.product"), onchange: () => { button.disabled = choice.value === found.product; } },
      found.product === null ? element("option", { value: "" }, "–") : null,
      found.products.map((name) => element("option", { value: name, selected: name === found.product }, name)));
    const button = element("button", { disabled: true, onclick: () => select(choice.value, button) }, t("product.select"));
    replace(box, choice, button);
    box.hidden = false;
  }

  async function select(name, button) {
    button.disabled = true;
    try {
      await post(path, { name });
      notice(t("product.selected", { product: name }));
    } catch (error) {
      notice(error.document?.temporary ? t("health.gone") : error.message, "error");
      button.disabled = false;
    }
  }

  return { box, draw };
}
