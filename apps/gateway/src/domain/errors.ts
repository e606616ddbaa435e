import { DomainError } from '#libs/messaging';

/** How soon it is worth asking again when the sale, the stock or this process is busy. */
const RETRY_SOON_MS = 1_000;

export const saleNotOpen = (): DomainError =>
  // A kind of its own does not exist for "forbidden"; the controller gives it its HTTP number.
  new DomainError('SALE_NOT_OPEN', 'conflict', 'The sale of this ticket type has not opened yet.');

/** The API has one code for a sale that does not go on; the text tells which end of it was missed. */
export const saleOver = (): DomainError =>
  new DomainError('SALE_NOT_OPEN', 'conflict', 'The sale of this ticket type is over.');

export const ticketTypeNotFound = (ticketTypeId: string): DomainError =>
  new DomainError('TICKET_TYPE_NOT_FOUND', 'not-found', `There is no ticket type ${ticketTypeId}.`);

export const soldOut = (): DomainError =>
  new DomainError('SOLD_OUT', 'conflict', 'Fewer tickets are left than you asked for.');

export const limitExceeded = (): DomainError =>
  new DomainError('LIMIT_EXCEEDED', 'conflict', 'That would be more tickets than one buyer may have.');

export const stockNotReady = (): DomainError =>
  new DomainError(
    'STOCK_NOT_READY',
    'transient',
    'The stock counters are being prepared. Nothing was reserved: ask again with the same Idempotency-Key.',
    RETRY_SOON_MS,
  );

/** Redis refuses, or its answer never came: then the tickets may be held all the same, and a repeat finds them. */
export const stockUnreachable = (cause: unknown): DomainError =>
  serviceUnavailable(
    'The stock counters cannot be asked right now. Nothing was reserved for sure: ask again with the same Idempotency-Key.',
    cause,
  );

/** The broker or a service behind this one cannot be reached, or does not answer in time. */
export const serviceUnavailable = (detail: string, cause?: unknown): DomainError =>
  new DomainError('SERVICE_UNAVAILABLE', 'transient', detail, RETRY_SOON_MS, { cause });

/** There is more to do than can be done: this process or the queue is at its bound. */
export const overloaded = (detail: string, cause?: unknown): DomainError =>
  new DomainError('OVERLOADED', 'transient', detail, RETRY_SOON_MS, { cause });

export const invalidPhone = (): DomainError =>
  new DomainError(
    'INVALID_REQUEST',
    'invalid',
    'body.phone: not a possible phone number; with its country code, such as +49 170 1234567, it is understood everywhere',
  );

export const holdExpired = (): DomainError =>
  new DomainError(
    'HOLD_EXPIRED',
    'conflict',
    'The tickets held under this Idempotency-Key were given back before the order was written. Ask again with a new key.',
  );

export const orderNotFound = (orderNo: string): DomainError =>
  new DomainError('ORDER_NOT_FOUND', 'not-found', `You have no order ${orderNo}.`);

export const orderNotPayable = (orderNo: string, status: string): DomainError =>
  new DomainError(
    'ORDER_NOT_PAYABLE',
    'conflict',
    `Order ${orderNo} is ${status}; only PENDING_PAYMENT can be paid.`,
  );
