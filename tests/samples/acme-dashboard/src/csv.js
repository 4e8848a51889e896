// The download of a table, one line for each row.

function cell(value) {
  return String(value);
}

/** Rows of objects as CSV (RFC 4180), with the columns in the given order. */
export function toCsv(rows, columns) {
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column] ?? ''))];
  return lines.map((line) => line.map(cell).join(',') + '\r\n').join('');
}
