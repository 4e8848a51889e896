// Slack's timestamps and how its client writes them.

export const dateOf = (ts) => new Date(Number.parseFloat(ts) * 1000);
const format = (options) => new Intl.DateTimeFormat(undefined, options);
const CLOCK = format({ hour: "numeric", minute: "2-digit" });
const DAY = format({ weekday: "long", month: "long", day: "numeric" });
const FULL = format({
  weekday: "long",
  year: "numeric",
  month: "long",
  day: "numeric",
  hour: "numeric",
  minute: "2-digit",
  second: "2-digit",
});

export const clock = (ts) => CLOCK.format(dateOf(ts));
export const full = (ts) => FULL.format(dateOf(ts));
export const dayKey = (ts) => dateOf(ts).toDateString();

export function day(ts, today = new Date()) {
  const date = dateOf(ts);
  if (date.toDateString() === today.toDateString()) return "Today";
  const yesterday = new Date(today);
  yesterday.setDate(today.getDate() - 1);
  return date.toDateString() === yesterday.toDateString() ? "Yesterday" : DAY.format(date);
}

export function ago(ts, now = Date.now()) {
  const minutes = Math.floor((now - dateOf(ts).getTime()) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return minutes === 1 ? "1 minute ago" : `${minutes} minutes ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return hours === 1 ? "1 hour ago" : `${hours} hours ago`;
  const days = Math.floor(hours / 24);
  return days === 1 ? "1 day ago" : `${days} days ago`;
}

const TOKENS = {
  date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
  date: { year: "numeric", month: "long", day: "numeric" },
  date_short: { year: "numeric", month: "short", day: "numeric" },
  date_long: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  time: { hour: "numeric", minute: "2-digit" },
  time_secs: { hour: "numeric", minute: "2-digit", second: "2-digit" },
};

/** `{date_short} at {time}` of a unix time, as in `<!date^…>` and rich text's `date`. */
export function pattern(seconds, text) {
  const date = new Date(Number(seconds) * 1000);
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    if (name === "ago") return ago(String(seconds));
    const key = name.replace(/_pretty$/, "");
    if (!TOKENS[key]) return whole;
    return name.endsWith("_pretty") && day(String(seconds)) !== DAY.format(date) ? day(String(seconds)) : format(TOKENS[key]).format(date);
  });
}
