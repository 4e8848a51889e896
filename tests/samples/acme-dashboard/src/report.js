// One report, from values per day to tiles and chart.

import { points, ticks } from './chart.js';
import { compact, percent } from './format.js';
import { change, sum } from './summary.js';

/** `values` holds a number for each day of `days`; `before` the sum of the period before. */
export function report({ title, days, values, before }) {
  const total = sum(values);
  return {
    title,
    tiles: { total: compact(total), change: percent(change(total, before)) },
    chart: {
      from: days[0],
      to: days[days.length - 1],
      points: points(values, { width: 300, height: 100 }),
      ticks: ticks(Math.max(...values, 1)),
    },
  };
}

export { toCsv } from './csv.js';
export { lastDays, monthToDate } from './dateRange.js';
