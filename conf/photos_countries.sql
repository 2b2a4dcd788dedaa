-- The demo's reference rows: quickstart.sh loads them on every node.
INSERT INTO public.countries (code, name) VALUES
  ('AR', 'Argentina'), ('AU', 'Australia'), ('BR', 'Brazil'), ('CA', 'Canada'), ('CN', 'China'), ('DE', 'Germany'),
  ('EG', 'Egypt'), ('ES', 'Spain'), ('FR', 'France'), ('GB', 'United Kingdom'), ('IN', 'India'), ('IT', 'Italy'),
  ('JP', 'Japan'), ('KE', 'Kenya'), ('MX', 'Mexico'), ('NG', 'Nigeria'), ('NO', 'Norway'), ('PL', 'Poland'),
  ('US', 'United States'), ('ZA', 'South Africa')
ON CONFLICT (code) DO UPDATE SET name = EXCLUDED.name;
