-- What happens to them while they are copied.
SET search_path = {s}, public;
UPDATE kinds SET note = note || '!' WHERE id % 2 = 0;
UPDATE kinds SET big = repeat('z', 9000), period = NULL WHERE id % 10 = 0;
DELETE FROM kinds WHERE id % 7 = 0;
INSERT INTO kinds (note, amount) VALUES ('late', 9);
UPDATE parted SET day = day + 365 WHERE id BETWEEN 10 AND 20;
INSERT INTO parted VALUES (9999, '2026-12-31', E'new\nline');
UPDATE heir SET v = 'changed'; DELETE FROM ONLY base;
DELETE FROM parents WHERE id <= 10;
UPDATE counted SET id = id + 1000 WHERE id > 40;
UPDATE guarded SET owner = 'third' WHERE id = 2;
DELETE FROM twins WHERE ctid = (SELECT min(ctid) FROM twins); INSERT INTO twins VALUES (NULL, NULL), (1, 'same');
TRUNCATE emptied; INSERT INTO emptied VALUES (7);
UPDATE many_50 SET v = NULL WHERE id = 3; TRUNCATE many_51, many_52;
INSERT INTO "We""ird Näme" VALUES (3, '\');
SELECT nextval('cached'), setval('children_id_seq', 5000);
BEGIN; INSERT INTO emptied VALUES (8); SAVEPOINT a; INSERT INTO emptied VALUES (9); ROLLBACK TO a; COMMIT;
