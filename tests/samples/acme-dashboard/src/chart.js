// What a line chart is drawn from.

const STEPS = [1, 2, 5, 10];

/** The distance of two ticks: a round number, so that `count` of them reach `max`. */
export function tickStep(max, count) {
  const raw = max / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = STEPS.find((candidate) => candidate * power >= raw);
  return step * power;
}

/** Axis ticks from zero up to the first one that is not below `max`. */
export function ticks(max, count = 4) {
  const step = tickStep(max, count);
  const found = [0];
  while (found[found.length - 1] < max) {
    found.push(found.length * step);
  }
  return found;
}

/** Values as points in a box of the given size, first at the left, zero at the bottom. */
export function points(values, { width, height }) {
  const top = Math.max(...values, 1);
  const gap = values.length > 1 ? width / (values.length - 1) : 0;
  return values.map((value, index) => ({ x: index * gap, y: height - (value / top) * height }));
}
