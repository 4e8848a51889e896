import assert from 'node:assert/strict';
import test from 'node:test';

import { percent } from '../src/format.js';
import { average, change, sum } from '../src/summary.js';

test('sum and average', () => {
  assert.equal(sum([1, 2, 6]), 9);
  assert.equal(average([1, 2, 6]), 3);
});

test('a change is shown with its sign', () => {
  assert.equal(percent(change(125, 100)), '+25%');
  assert.equal(percent(change(75, 100)), '-25%');
  assert.equal(percent(change(75, 0)), '–');
});
