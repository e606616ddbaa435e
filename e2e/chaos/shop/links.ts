/**
 * Every connection between two processes of the shop. Through each goes a proxy of its own, so that each can
 * break while all others stand.
 */

/** A shop's ports, as places after the one that it is given (scripts/shop.mjs). */
export const PORT_OFFSETS = {
  gateway: 0,
  order: 1,
  stock: 2,
  payment: 3,
  notification: 4,
  ops: 5,
  'broker-http': 6,
  postgres: 10,
  redis: 11,
  broker: 12,
} as const;

export type Service = 'gateway' | 'order' | 'stock' | 'payment' | 'notification' | 'ops';
/** What the supervisor starts; each can be killed and frozen. */
export const PROCESSES = [
  'gateway',
  'order',
  'stock',
  'payment',
  'notification',
  'ops',
  'broker',
  'redis',
  'postgres',
] as const;
export type ProcessName = (typeof PROCESSES)[number];

type Link = {
  name: string;
  /** `buyers` are the load; `mail` is the mail server beside the shop. */
  from: Service | 'buyers';
  to: keyof typeof PORT_OFFSETS | 'mail';
  /** Setting of `from` that names the other side; its port becomes the proxy's. */
  variable?: string;
  /** What the setting is when the launcher leaves it out. `PORT` stands for the other side's. */
  otherwise?: string;
};

const to = (name: Link['to'], variable: string, from: readonly Service[]): Link[] =>
  from.map((service) => ({ name: `${service}-${name}`, from: service, to: name, variable }));

export const LINKS: readonly Link[] = [
  { name: 'buyers-gateway', from: 'buyers', to: 'gateway' },
  ...to('postgres', 'DATABASE_URL', ['order', 'stock', 'payment', 'notification', 'ops']),
  ...to('redis', 'REDIS_URL', ['gateway', 'order', 'stock', 'ops']),
  ...to('broker', 'BROKER_URL', ['gateway', 'order', 'stock', 'payment', 'notification', 'ops']),
  ...(['order', 'stock', 'payment', 'notification', 'ops'] as const).flatMap((service) =>
    to(service, `${service.toUpperCase()}_URL`, ['gateway']),
  ),
  { name: 'payment-webhook', from: 'payment', to: 'gateway', variable: 'WEBHOOK_URL' },
  {
    name: 'payment-provider',
    from: 'payment',
    to: 'payment',
    variable: 'PROVIDER_URL',
    otherwise: 'http://127.0.0.1:PORT/api/provider',
  },
  {
    name: 'notification-mail',
    from: 'notification',
    to: 'mail',
    variable: 'SMTP_URL',
    otherwise: 'smtp://127.0.0.1:PORT',
  },
];
export type LinkName = string;
