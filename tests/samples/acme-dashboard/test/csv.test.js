import assert from 'node:assert/strict';
import test from 'node:test';

import { toCsv } from '../src/csv.js';

test('plain cells stay as they are', () => {
  assert.equal(toCsv([{ page: '/home', visits: 3 }], ['page', 'visits']), 'page,visits\r\n/home,3\r\n');
});

test('commas, quotes and line breaks are quoted', () => {
  const rows = [{ name: 'Smith, Jane' }, { name: 'the "big" one' }, { name: 'two\nlines' }];
  assert.equal(toCsv(rows, ['name']), 'name\r\n"Smith, Jane"\r\n"the ""big"" one"\r\n"two\nlines"\r\n');
});
