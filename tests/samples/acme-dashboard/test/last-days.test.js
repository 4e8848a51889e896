import assert from 'node:assert/strict';
import test from 'node:test';

import { lastDays } from '../src/dateRange.js';

test('the last three days end today', () => {
  assert.deepEqual(lastDays(3, '2026-03-01'), ['2026-02-27', '2026-02-28', '2026-03-01']);
});

test('a week has seven days', () => {
  const days = lastDays(7, '2026-01-04');
  assert.equal(days.length, 7);
  assert.equal(days[0], '2025-12-29');
});
