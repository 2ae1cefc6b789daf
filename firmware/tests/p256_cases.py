"""Scalars, keys and signatures at the edges, shared by the tests of the fast signer."""

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

#: The sum before the last column is added equals that column's point: the addition must double.
#: (Among sums of small multiples of the order and of a column it is the only one that does.)
DOUBLING_SCALAR = 0xFFFFFFDF000000007FFFFFFFFDFFFFFFBCEEFAADA717BE84F3B9CA42FC632553

#: A public key and a valid signature whose point has an x of the order plus 3, below the prime:
#: r is 3. Made backwards from that point with s = 7; OpenSSL takes it.
WRAPPED_PUBLIC = (
    "b95c644124b1e5adcdf8b70bbdee0cca9d0db4c89e06c530717fd7784cf38549"
    "5746cea0008fdc6c06e500687fb5d6a9ed266b6814e9a89acf6eab2f81ca8cac"
)
WRAPPED_MESSAGE = b"x is not below the order"
WRAPPED_SIGNATURE = "%064x%064x" % (3, 7)


def edge_scalars():
    """Ends, lone bits, long runs of zeros and ones, the scalar that makes the comb double."""
    scalars = [1, 2, 3, 4, 5, ORDER - 1, ORDER - 2, ORDER - 3, ORDER // 2, ORDER // 2 + 1]
    scalars += [1 << bit for bit in range(5, 256, 25)]
    scalars += [(1 << bit) - 1 for bit in range(19, 256, 19)]
    scalars += [ORDER - (1 << bit) for bit in range(38, 255, 38)]
    # All columns of the comb alike.
    scalars.append(sum([1 << bit for bit in range(0, 254, 38)]))
    scalars.append(DOUBLING_SCALAR)
    return scalars
