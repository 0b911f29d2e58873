import type { Scene, SceneProvider } from './types.ts';
import { KNOWN, PINS } from './world/certificates.ts';
import type { Sink } from './world/sink.ts';
import type { LeakWorld } from './world/world.ts';

/** Records that each lack one thing that data of class 2 needs; all lead to the foreign sink. */
export const WANTING: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  global: { sku: 'global' },
  datazone: { sku: 'datazone' },
  expired: { issued: '2020-01-01', expires: '2021-01-01' },
  review: { abuseReview: true },
  reviewless: { abuseReview: undefined },
  'logs-abroad': { logs: 'US' },
};

/** A provider on loopback over plain http, whose record names its one address. */
export function plainProvider(
  id: string,
  sink: Sink,
  world: LeakWorld,
  more: Partial<SceneProvider> = {},
): SceneProvider {
  return {
    id,
    url: `http://${sink.address}:${world.port}/v1`,
    country: 'JP',
    hosts: [sink.address],
    addresses: [`${sink.address}/32`],
    ...more,
  };
}

/** A provider by a name over https, whose record names one address and pins. */
export function namedProvider(world: LeakWorld, more: Partial<SceneProvider> = {}): SceneProvider {
  return {
    id: 'named',
    url: `https://a.leak.test:${world.port}/v1`,
    country: 'JP',
    hosts: ['a.leak.test'],
    addresses: [`${world.homeA.address}/32`],
    pins: PINS,
    ...more,
  };
}

export function scene(
  world: LeakWorld,
  id: string,
  more: Pick<Scene, 'providers' | 'models'> & Partial<Scene>,
): Scene {
  return { id, resolver: `${world.dns.address}:${world.port}`, ca: KNOWN.cert, ...more };
}

/** Two domestic providers, a foreign one, and those of `WANTING`. */
export function commonScene(world: LeakWorld): Scene {
  const wanting = Object.entries(WANTING).map(([id, record]) =>
    plainProvider(id, world.foreign, world, { record }),
  );
  return scene(world, 'common', {
    providers: [
      plainProvider('home-a', world.homeA, world),
      plainProvider('home-b', world.homeB, world),
      plainProvider('foreign', world.foreign, world, { country: 'US' }),
      ...wanting,
    ],
    models: {
      'leak-a': ['home-a'],
      'leak-home': ['home-a', 'home-b'],
      'leak-any': ['home-a', 'home-b', 'foreign'],
      'leak-abroad': ['foreign'],
      ...Object.fromEntries(wanting.map(({ id }) => [`leak-${id}`, [id]])),
    },
  });
}

/** One domestic provider by name. */
export function namedScene(world: LeakWorld, id: string, more: Partial<SceneProvider> = {}): Scene {
  return scene(world, id, { providers: [namedProvider(world, more)], models: { 'leak-a': ['named'] } });
}
