import assert from 'node:assert/strict';
import test from 'node:test';

import { ticks } from '../src/chart.js';

test('ticks are round and reach the largest value', () => {
  assert.deepEqual(ticks(870), [0, 500, 1000]);
  assert.deepEqual(ticks(7), [0, 2, 4, 6, 8]);
});
