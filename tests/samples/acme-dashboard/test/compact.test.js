import assert from 'node:assert/strict';
import test from 'node:test';

import { compact } from '../src/format.js';

test('numbers are shortened', () => {
  assert.equal(compact(999), '999');
  assert.equal(compact(1234), '1.2K');
  assert.equal(compact(3_400_000), '3.4M');
});

test('just below a million reads as a million', () => {
  assert.equal(compact(999_949), '999.9K');
  assert.equal(compact(999_950), '1.0M');
  assert.equal(compact(-999_999), '-1.0M');
});
