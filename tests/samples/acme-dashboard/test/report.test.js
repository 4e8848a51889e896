import assert from 'node:assert/strict';
import test from 'node:test';

import { report } from '../src/report.js';

test('a report holds tiles and chart', () => {
  const made = report({ title: 'Visits', days: ['2026-03-01', '2026-03-02'], values: [600, 900], before: 1000 });
  assert.deepEqual(made.tiles, { total: '1.5K', change: '+50%' });
  assert.equal(made.chart.to, '2026-03-02');
  assert.deepEqual(made.chart.points, [{ x: 0, y: 100 - (600 / 900) * 100 }, { x: 300, y: 0 }]);
});
