import { formatMinor } from '#libs/contracts';
import type { Intent } from './provider-book.js';

/** The checkout as a person sees it: what is to be paid, and two buttons. */
export function checkoutPage(intent: Intent): string {
  const amount = formatMinor(intent.amountMinor, intent.currency);
  const isOpen = intent.status === 'OPEN' || intent.status === 'DECLINED';
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simulated checkout</title>
<style>
  body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 15vh auto; padding: 0 1rem; text-align: center }
  button { font: inherit; padding: .6rem 1.4rem; margin: .3rem; border: 0; border-radius: .5rem; cursor: pointer; color: #fff; background: #146c43 }
  button[value=fail] { background: #a52834 }
  button:disabled { opacity: .5; cursor: default }
</style>
<h1>${amount}</h1>
<p>This is a simulated payment provider: no money moves.</p>
<p>
  <button value="succeed"${isOpen ? '' : ' disabled'}>Pay</button>
  <button value="fail"${isOpen ? '' : ' disabled'}>Decline</button>
</p>
<p role="status">${isOpen ? '' : `This checkout is ${intent.status.toLowerCase()}.`}</p>
<script type="module">
  const said = document.querySelector('[role=status]');
  const buttons = [...document.querySelectorAll('button')];
  for (const button of buttons) {
    button.addEventListener('click', async () => {
      for (const each of buttons) each.disabled = true;
      const answer = await fetch(location.href, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ outcome: button.value }),
      });
      said.textContent = answer.ok
        ? (button.value === 'succeed' ? 'Paid. The shop will know in a moment; you can close this page.' : 'Declined.')
        : 'That did not work: ' + answer.status;
      if (button.value === 'fail') for (const each of buttons) each.disabled = false;
    });
  }
</script>
</html>
`;
}
