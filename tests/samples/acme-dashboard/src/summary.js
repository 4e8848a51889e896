// What a tile says about a row of values.

export function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

/** The mean of the values. */
export function average(values) {
  return sum(values) / values.length;
}

/** The change against the period before, as a fraction: 0.25 is a quarter more. `null` where there was nothing before. */
export function change(now, before) {
  return before === 0 ? null : (now - before) / Math.abs(before);
}
