// Texts from /translations/<language>.json. A text may hold {names}; numbers and times follow the language.

let texts = {};
let english = {};
export let language = "en";

async function load(name) {
  const response = await fetch(`/translations/${name}.json`);
  return response.ok ? response.json() : {};
}

export async function useLanguage(available, wanted = null) {
  const choices = [wanted, localStorage.getItem("language"), ...navigator.languages].filter(Boolean);
  const found = choices.map((choice) => choice.split("-")[0]).find((choice) => available.includes(choice));
  language = found || "en";
  if (wanted) localStorage.setItem("language", language);
  [english, texts] = await Promise.all([load("en"), load(language)]);
  document.documentElement.lang = language;
}

export function t(key, values = {}) {
  const text = texts[key] ?? english[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// A text that depends on a number: keys end with .one and .other.
export function count(key, number, values = {}) {
  const form = new Intl.PluralRules(language).select(number) === "one" ? "one" : "other";
  return t(`${key}.${form}`, { count: whole(number), ...values });
}

export function whole(number) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: 0 }).format(number);
}

export function score(number) {
  if (number === null || number === undefined) return "–";
  return new Intl.NumberFormat(language, { maximumSignificantDigits: 3 }).format(number);
}

export function percent(part, all) {
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(part / all);
}

// With one digit after the point, such as images per second.
export function tenths(number) {
  return new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(number);
}

export function bytes(number) {
  if (number === null || number === undefined) return "–";
  const steps = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let step = 0;
  while (number >= 1000 && step < steps.length - 1) { number /= 1000; step += 1; }
  const format = { style: "unit", unit: steps[step], maximumSignificantDigits: 3 };
  return new Intl.NumberFormat(language, format).format(number);
}

export function clock(at) {
  return new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(new Date(at));
}

export function moment(at) {
  const date = new Date(at);
  const today = new Date().toDateString() === date.toDateString();
  return today ? clock(at) : new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }).format(date);
}

export function ago(at) {
  const seconds = Math.round((new Date(at).getTime() - Date.now()) / 1000);
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  if (seconds > -60) return format.format(Math.min(0, seconds), "second");
  if (seconds > -3600) return format.format(Math.round(seconds / 60), "minute");
  if (seconds > -86400) return format.format(Math.round(seconds / 3600), "hour");
  return format.format(Math.round(seconds / 86400), "day");
}
