import assert from 'node:assert/strict';
import test from 'node:test';

import { monthToDate } from '../src/dateRange.js';
import { groupBy, monthOf } from '../src/grouping.js';

test('the month so far ends today', () => {
  assert.deepEqual(monthToDate('2026-03-03'), ['2026-03-01', '2026-03-02', '2026-03-03']);
});

test('months are summed', () => {
  const rows = [{ day: '2026-02-27', value: 1 }, { day: '2026-02-28', value: 2 }, { day: '2026-03-01', value: 4 }];
  assert.deepEqual(groupBy(rows, monthOf), [{ key: '2026-02', value: 3 }, { key: '2026-03', value: 4 }]);
});
