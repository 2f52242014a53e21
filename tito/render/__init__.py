"""What is shown: facts become blocks (views), blocks become a rich table or plain lines."""
