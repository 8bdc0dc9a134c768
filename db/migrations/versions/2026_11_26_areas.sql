INSERT INTO public.generations (area, n) VALUES ('around', 1) ON CONFLICT DO NOTHING;
INSERT INTO public.generations (area, n) VALUES ('profiles', 1) ON CONFLICT DO NOTHING;
INSERT INTO public.generations (area, n) VALUES ('tags', 1) ON CONFLICT DO NOTHING;
