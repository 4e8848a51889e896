import assert from 'node:assert/strict';
import test from 'node:test';

import { compact } from '../src/format.js';
import { average } from '../src/summary.js';

test('the average of nothing is zero', () => {
  assert.equal(average([]), 0);
  assert.equal(compact(average([])), '0');
});
