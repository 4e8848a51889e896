// The days that a report covers, oldest first.

const DAY_MS = 24 * 60 * 60 * 1000;

export function addDays(day, count) {
  return new Date(Date.parse(day) + count * DAY_MS).toISOString().slice(0, 10);
}

/** The last `count` days up to and with `today`. */
export function lastDays(count, today) {
  const days = [];
  for (let back = count; back > 0; back -= 1) {
    days.push(addDays(today, -back));
  }
  return days;
}

/** The days of `today`'s month up to and with `today`. */
export function monthToDate(today) {
  const days = [];
  for (let day = `${today.slice(0, 8)}01`; day <= today; day = addDays(day, 1)) {
    days.push(day);
  }
  return days;
}
