-- Visits of Acme's pages, one row for each page and day. Run as often as one likes.
CREATE TABLE IF NOT EXISTS visits (
    day   date    NOT NULL,
    page  text    NOT NULL,
    count integer NOT NULL CHECK (count >= 0),
    PRIMARY KEY (day, page)
);

INSERT INTO visits (day, page, count) VALUES
    ('2026-03-01', '/', 600),
    ('2026-03-01', '/pricing', 150),
    ('2026-03-02', '/', 900),
    ('2026-03-04', '/', 300)
ON CONFLICT (day, page) DO UPDATE SET count = excluded.count;
