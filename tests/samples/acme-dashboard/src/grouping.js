// Values per day put together to longer spans.

import { addDays } from './dateRange.js';

/** The Monday of the week that a day belongs to. */
export function weekStart(day) {
  const weekday = new Date(Date.parse(day)).getUTCDay();
  return addDays(day, 1 - weekday);
}

export function monthOf(day) {
  return day.slice(0, 7);
}

/** Sums `{day, value}` rows by what `keyOf` says of their day, in the order of first appearance. */
export function groupBy(rows, keyOf) {
  const sums = new Map();
  for (const { day, value } of rows) {
    const key = keyOf(day);
    sums.set(key, (sums.get(key) ?? 0) + value);
  }
  return [...sums].map(([key, value]) => ({ key, value }));
}
