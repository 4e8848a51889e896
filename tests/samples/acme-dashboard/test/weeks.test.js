import assert from 'node:assert/strict';
import test from 'node:test';

import { groupBy, weekStart } from '../src/grouping.js';

test('a week runs from Monday to Sunday', () => {
  assert.equal(weekStart('2026-03-02'), '2026-03-02');
  assert.equal(weekStart('2026-03-07'), '2026-03-02');
  assert.equal(weekStart('2026-03-08'), '2026-03-02');
});

test('a Sunday is summed with the days before it', () => {
  const rows = [{ day: '2026-03-07', value: 10 }, { day: '2026-03-08', value: 5 }];
  assert.deepEqual(groupBy(rows, weekStart), [{ key: '2026-03-02', value: 15 }]);
});
