// Needs the database that db/visits.sql describes.
import assert from 'node:assert/strict';
import test from 'node:test';

import { visitsPerDay } from '../src/visits.js';

test('visits of all pages are summed, and a day without any is 0', () => {
  assert.deepEqual(visitsPerDay(['2026-03-02', '2026-03-01', '2026-03-03']), [900, 750, 0]);
});
