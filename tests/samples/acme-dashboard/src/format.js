// Numbers as people read them.

/** `1234` as `1.2K`, `3400000` as `3.4M`. Below a thousand, the number itself. */
export function compact(value) {
  const size = Math.abs(value);
  if (size < 1000) {
    return String(value);
  }
  if (size < 1_000_000) {
    return `${(value / 1000).toFixed(1)}K`;
  }
  return `${(value / 1_000_000).toFixed(1)}M`;
}

/** `0.251` as `+25%`. A dash where there is nothing to compare with. */
export function percent(fraction) {
  if (fraction === null) {
    return '–';
  }
  const whole = Math.round(fraction * 100);
  return `${whole > 0 ? '+' : ''}${whole}%`;
}
