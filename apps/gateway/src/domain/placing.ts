/**
 * What becomes of a request to buy, decided from two answers of Redis: which order the
 * idempotency key stands for, and what the reserve script said.
 *
 * | key           | reserve            | decision                                                   |
 * |---------------|--------------------|------------------------------------------------------------|
 * | new or same   | reserved           | submit the order, answer 202                               |
 * | new or same   | replayed, held     | submit again: the first message may never have been sent   |
 * | new or same   | replayed, released | ask the order service: cancelled since, or never written?  |
 * | new or same   | replayed, else     | answer 202: the order is written                           |
 * | new or same   | refused            | refuse with the script's reason                            |
 * | another order | reserved           | refuse with 422, give the hold back                        |
 * | another order | anything else      | refuse with 422                                            |
 */
import type { DomainError } from '#libs/messaging';
import {
  limitExceeded,
  saleNotOpen,
  saleOver,
  soldOut,
  stockNotReady,
  ticketTypeNotFound,
} from './errors.js';

export type HoldState = 'held' | 'claimed' | 'sold' | 'reacquired' | 'released';
export type Refusal =
  'sold-out' | 'limit-exceeded' | 'sale-not-open' | 'sale-over' | 'unknown-ticket-type' | 'not-ready';

/** The reserve script's answer, as far as it decides anything. */
export type Reservation = { outcome: 'reserved' | 'replayed'; state: HoldState } | { outcome: Refusal };

export type Placing =
  | { action: 'submit' }
  | { action: 'answer' }
  | { action: 'ask-order-service' }
  | { action: 'refuse'; error: DomainError }
  /** `releaseHold`: this very call made a hold that nobody will ever ask for. */
  | { action: 'refuse-key-reuse'; releaseHold: boolean };

export type PlacingFacts = {
  ticketTypeId: string;
  /** The key was used for another request. */
  isKeyReused: boolean;
  reservation: Reservation;
};

export function decidePlacing({ ticketTypeId, isKeyReused, reservation }: PlacingFacts): Placing {
  if (isKeyReused) {
    return { action: 'refuse-key-reuse', releaseHold: reservation.outcome === 'reserved' };
  }
  switch (reservation.outcome) {
    case 'reserved':
      return { action: 'submit' };
    case 'replayed':
      return decideReplay(reservation.state);
    default:
      return { action: 'refuse', error: refusalOf(reservation.outcome, ticketTypeId) };
  }
}

function decideReplay(state: HoldState): Placing {
  switch (state) {
    case 'held':
      return { action: 'submit' };
    case 'released':
      return { action: 'ask-order-service' };
    case 'claimed':
    case 'sold':
    case 'reacquired':
      return { action: 'answer' };
  }
}

function refusalOf(refusal: Refusal, ticketTypeId: string): DomainError {
  switch (refusal) {
    case 'sold-out':
      return soldOut();
    case 'limit-exceeded':
      return limitExceeded();
    case 'sale-not-open':
      return saleNotOpen();
    case 'sale-over':
      return saleOver();
    case 'unknown-ticket-type':
      return ticketTypeNotFound(ticketTypeId);
    case 'not-ready':
      return stockNotReady();
  }
}
