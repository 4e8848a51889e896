// Visits per day, from PostgreSQL, asked through its own client.
import { execFileSync } from 'node:child_process';

const DATABASE = process.env.DASHBOARD_DATABASE ?? 'postgres://dashboard@127.0.0.1/postgres';

const PER_DAY = `
  SELECT coalesce(sum(count), 0) FROM unnest(string_to_array(:'days', ' ')::date[]) WITH ORDINALITY AS wanted(day, place)
  LEFT JOIN visits USING (day) GROUP BY place ORDER BY place`;

/** The visits of each of these days, all pages together; a day that nobody came on counts 0. */
export function visitsPerDay(days) {
  const options = ['--no-psqlrc', '--quiet', '--tuples-only', '--no-align', '--set', 'ON_ERROR_STOP=1', '--set', `days=${days.join(' ')}`];
  const output = execFileSync('psql', [...options, DATABASE], { input: PER_DAY, encoding: 'utf8' });
  return output.trim().split('\n').filter(Boolean).map(Number);
}
