import { expect, test } from '@jest/globals';
import { ORDER_STATUSES } from '#libs/contracts';
import { endsStream, isProgress } from './order-progress.js';

test('a status that was told, or that the order has passed, is not news', () => {
  for (const status of ORDER_STATUSES) {
    expect(isProgress(status, status)).toBe(false);
    expect(isProgress(status, 'QUEUED')).toBe(false);
  }
  expect(isProgress('QUEUED', 'PAID')).toBe(true);
  expect(isProgress('PAID', 'PENDING_PAYMENT')).toBe(false);
  expect(isProgress('PAID', 'REFUNDING')).toBe(true);
});

test('a stream ends where nothing more is expected', () => {
  expect(ORDER_STATUSES.filter(endsStream)).toEqual(['PAID', 'CANCELLED', 'REFUNDED', 'REJECTED']);
});
