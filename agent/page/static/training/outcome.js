// What came of a training: its report, both models on the same images, and the decision.

import { post } from "../base/api.js";
import { element, notice } from "../base/dom.js";
import { percent, score, t, whole } from "../base/text.js";

export function outcome(found, { decided }) {
  const take = element("button", { class: "main", onclick: () => decide("take", { camera: found.request.camera, sha256: found.sha256 }) }, t("train.take"));
  const drop = element("button", { onclick: () => decide("drop") }, t("train.drop"));
  return [
    element("section", { class: "card stack" },
      element("h2", {}, t("train.done", { name: found.name })),
      element("dl", { class: "facts" }, [
        ["train.fact.images", whole(found.images)], ["train.fact.held_out", whole(found.held_out)], ["train.fact.skipped", whole(found.skipped)],
        ["train.fact.steps", whole(found.steps)], ["train.fact.by", found.request.by]].map(([key, value]) => element("div", {}, element("dt", {}, t(key)), element("dd", {}, value)))),
      found.learned ? null : element("p", { class: "problem" }, t("train.learned_nothing")),
      found.warnings.map((warning) => element("p", { class: "promise problem", lang: "en" }, warning)),
      element("div", { class: "actions row" }, take, drop),
      element("p", { class: "quiet" }, t("train.take.explain"))),
    comparison(found.comparison),
    element("section", { class: "card stack" }, element("h2", {}, t("train.report")),
      element("a", { href: "/api/training/report.png", target: "_blank", rel: "noopener" }, element("img", { class: "report", src: "/api/training/report.png", alt: t("train.report") }))),
  ];

  async function decide(what, document) {
    take.disabled = drop.disabled = true;
    try {
      const done = await post(`/api/training/${what}`, document);
      notice(what === "take" ? t("train.taken", { model: done.model.name }) : t("train.dropped"));
    } catch (error) {
      notice(error.message, "error");
      take.disabled = drop.disabled = false;
      return;
    }
    decided();
  }
}

function comparison(found) {
  const { new: fresh, old } = found?.models ?? {};
  const title = element("h2", {}, t("compare.title"));
  if (!found?.images.length) return element("section", { class: "card stack" }, title, element("p", {}, t("compare.none")));
  const rows = [
    ["compare.auroc", (model) => (model.auroc === null ? "–" : percent(model.auroc, 1))],
    ["compare.above", (model) => (model.above === null ? "–" : t("compare.of", { part: whole(model.above), all: whole(found.bad) }))],
    ["compare.highest", (model) => score(model.highest_good)],
  ];
  const cell = (model, value) => element("td", {}, model.error ? "–" : value(model));
  return element("section", { class: "card stack" }, title,
    element("p", { class: "quiet" }, t("compare.explain", { good: whole(found.good), bad: whole(found.bad) })),
    [fresh, old].filter((model) => model.error).map((model) => element("p", { class: "problem", lang: "en" }, model.error)),
    element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": t("compare.title") }, element("table", { class: "compare" },
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, t("compare.measure")), element("th", { scope: "col" }, t("compare.new")), element("th", { scope: "col" }, t("compare.old")))),
      element("tbody", {}, rows.map(([key, value]) => element("tr", {}, element("th", { scope: "row" }, t(key)), cell(fresh, value), cell(old, value)))))),
    element("details", {}, element("summary", {}, t("compare.images")),
      element("div", { class: "cards" }, sorted(found.images).map((image) => compared(image, fresh, old)))));
}

// Those first that the new model has most trouble with: good ones with high scores, bad ones with low ones.
function sorted(images) {
  return [...images].sort((one, other) => Number(other.bad) - Number(one.bad) || (one.bad ? one.new - other.new : other.new - one.new));
}

// Scores of two models have nothing in common; shares of the highest good score have.
function compared(image, fresh, old) {
  const share = (value, model) => (value === null || value === undefined || !model?.highest_good ? "–" : percent(value, model.highest_good));
  return element("div", { class: "alarm" },
    element("img", { src: `/api/training/compared/${image.id}`, alt: "", loading: "lazy", width: 240, height: 180 }),
    element("span", { class: `badge ${image.bad ? "true" : "false"}` }, t(image.bad ? "compare.bad" : "compare.good")),
    element("span", { class: "when" }, `${t("compare.new")} ${share(image.new, fresh)}`),
    element("span", { class: "what" }, `${t("compare.old")} ${share(image.old, old)}`));
}
