// One alarm as a thumbnail with its time, score and judgement.

import { element } from "../base/dom.js";
import { moment, score, t } from "../base/text.js";

export function alarmCard(alarm, query = "") {
  const name = alarm.kind === "camera" ? "frame" : "overlay";
  const image = element("img", {
    src: `/api/alarms/${alarm.id}/images/${name}?side=240`, alt: alarm.camera, loading: "lazy", width: 240, height: 180,
    onerror: () => image.classList.add("missing"),
  });
  const verdict = alarm.verdict ?? "unjudged";
  return element("a", { class: "alarm", href: `#/alarm/${alarm.id}${query}`, data: { verdict, alarm: alarm.id } },
    image,
    element("span", { class: "when" }, moment(alarm.raised_at)),
    element("span", { class: "what" }, alarm.kind === "camera" ? t("kind.camera") : t("card.score", { score: score(alarm.score) })),
    element("span", { class: `badge ${verdict}` }, t(`judged.${verdict}`)));
}
